"""Common first names."""

from headspex.tasks.templates.draw import listed

WOMEN = listed(
    "Mary, Anna, Emma, Sarah, Laura, Julia, Alice, Grace, Kate, Jane, Lucy, Rachel, Emily, Amy, "
    "Linda, Susan, Karen, Lisa, Nancy, Helen, Maria, Ruth, Diana, Rose, Claire, Ellen, Martha, "
    "Carol, Sandra, Donna, Michelle, Amanda, Melissa, Stephanie, Rebecca, Jennifer, Elizabeth, "
    "Patricia, Barbara, Margaret, Dorothy, Jessica, Hannah, Olivia, Sophia, Isabella, Charlotte, "
    "Victoria, Megan, Andrea, Nicole, Katherine, Catherine, Christine, Samantha, Heather, Teresa, "
    "Sara, Natalie, Vanessa, Angela, Eva, Lily, Molly, Holly, Wendy, Monica, Veronica, Sophie, "
    "Ella, Eleanor, Caroline, Danielle, Jenny, Annie, Betty, Sally, Julie, Lauren"
)
MEN = listed(
    "John, James, Robert, Michael, William, David, Richard, Joseph, Thomas, Charles, Daniel, "
    "Matthew, Anthony, Mark, Paul, Steven, Andrew, Kevin, Brian, George, Edward, Ronald, Timothy, "
    "Jason, Jeffrey, Ryan, Jacob, Gary, Nicholas, Eric, Jonathan, Stephen, Larry, Justin, Scott, "
    "Brandon, Benjamin, Samuel, Gregory, Frank, Alexander, Raymond, Patrick, Jack, Dennis, Jerry, "
    "Tyler, Aaron, Henry, Peter, Adam, Nathan, Walter, Kyle, Harold, Carl, Arthur, Roger, Keith, "
    "Jeremy, Lawrence, Sean, Ethan, Joe, Albert, Bruce, Simon, Martin, Luke, Oliver, Philip, "
    "Victor, Howard, Tom, Tim, Bob, Jim, Mike, Steve, Dave, Fred, Ian, Alan, Craig, Harry, "
    "Kenneth, Louis, Marcus, Oscar, Ralph, Russell, Stanley"
)

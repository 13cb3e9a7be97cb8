"""The errors that are the user's to mend."""


class UsageError(ValueError):
    """The user asked for something that cannot be done.

    Its message is one sentence: the rule, the value that breaks it, and the way out.
    The command line prints it alone and exits with code 2.
    """


class RoomError(UsageError):
    """What was asked does not fit into memory; something smaller may."""

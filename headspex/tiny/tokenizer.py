"""The word-level tokenizer of the shipped model: one word, one token.

White space, punctuation and five small words only separate words and are not tokens. So "Leo is in
Madrid." is "Leo Madrid": related words are adjacent. The first line of every prompt is a single
token, and a prompt is 15 to 30 tokens long.
"""

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

from headspex.tiny.questions import (
    AGES,
    CITIES,
    FACTS,
    HEADER,
    LETTERS,
    NAMES,
    OBJECTS,
    RELATIONS,
    SUBJECTS,
)

SPECIAL = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")
FRAME = ["Answer", "What", "Where", "Who", "comes", "next", "oldest", "youngest"]
SILENT = ("is", "in", "the", "of", "follows")


def vocabulary() -> list[str]:
    """All tokens, in the order of their ids."""
    facts = [word for animal, values in FACTS.items() for word in (animal, *values)]
    subjects = [word for subject in SUBJECTS for word in subject.split("_")]
    words = [*SPECIAL, HEADER, *LETTERS, *subjects, *FRAME]
    words += [*NAMES, *CITIES, *OBJECTS, *AGES, *RELATIONS, *facts]
    return list(dict.fromkeys(words))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, ready for `save_pretrained`; an unknown word becomes `[UNK]`."""
    ids = {word: index for index, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split(
        Regex(rf"(?:\b(?:{'|'.join(SILENT)})\b|[^\p{{L}}\p{{N}}])+"), behavior="removed"
    )
    tokenizer.add_tokens([AddedToken(HEADER, normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        padding_side="right",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )

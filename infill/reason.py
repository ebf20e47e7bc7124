"""Why nothing is shown: one code for each way a fill can end without an edit. Knows no sentences
of the editor's and none of the user's code, so that a reason can be logged as it is."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A code for logs, commands and `--json`; `explanation` is the sentence for people."""

    explanation: str

    def __new__(cls, code: str, explanation: str) -> Reason:
        reason = str.__new__(cls, code)
        reason._value_ = code
        reason.explanation = explanation
        return reason

    # Decided before any work
    DISABLED = "disabled", "Filling is switched off in the settings."
    SECRET = "secret", "The file looks as if it holds secrets, so the model does not get to see it."
    IGNORED = "ignored", "The file is named by a .gitignore or .infillignore."
    TOO_LARGE = "too-large", "The file is larger than the setting max_file_chars allows."
    BINARY = "binary", "The file is not text."

    # Nothing to fill at the cursor
    WORD_FOLLOWS = "word-follows", "The cursor stands inside or right in front of a word."
    CURSOR_IN_STRING = "cursor-in-string", "The cursor stands inside a string."
    CURSOR_IN_COMMENT = "cursor-in-comment", "The cursor stands inside a comment."
    NOTHING_DUE = "nothing-due", "The code at the cursor is complete as it stands."

    # The model
    NOT_LEARNT = "not-learnt", "The model has not learnt this language; ask for a fill to try it."
    NO_MODEL = "no-model", "No model is loaded."
    DEADLINE = "deadline", "The model had nothing settled when the deadline came."

    # The answer was not worth showing
    EMPTY = "empty", "The model proposes to write nothing here."
    NO_CHANGE = "no-change", "The model proposes what stands there already."
    LOW_CONFIDENCE = "low-confidence", "The model is less sure than eagerness asks for."
    ONE_WORD = "one-word", "The model wrote a single word where a sentence is due."
    LEFT_OPEN = "left-open", "The model wrote what leaves the hole open, `pass` or a TODO."
    ARGUMENT_COUNT = (
        "argument-count",
        "The model wrote another number of arguments than the function takes.",
    )
    REPEATS_SUFFIX = "repeats-suffix", "The fill only repeats what follows the cursor."
    REPEATS_LINE = "repeats-line", "The fill repeats a neighbouring line."
    REPETITION = "repetition", "The fill repeats itself."
    UNBALANCED = "unbalanced", "The fill's brackets or quotes do not match the text around it."
    BREAKS_SYNTAX = "breaks-syntax", "The file would parse worse with the fill, also after repair."
    SPECIAL_TOKEN = (
        "special-token",
        "The fill holds a token that belongs to the model, not to code.",
    )
    TOO_LONG = "too-long", "The fill is longer than a hole may be."

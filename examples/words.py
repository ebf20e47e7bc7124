"""Which words a text uses most.

Some of it is still to be written. Let the holes be filled:

    infill-lsp fill examples/words.py --watch
"""

import re
import sys


def words_in(path: str) -> list[str]:
    with open(__HOLE__) as file:
        text = file.read()
    return re.findall(r"\w+", text.lower())


def count(words: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for __HOLE__ in words:
        if word not in counts:
            counts[word] = 0
        counts[word] += 1
    return counts


def most_common(counts: dict[str, int], number: int = 10) -> list[str]:
    ordered = sorted(counts, key=lambda word: counts[__HOLE__], reverse=True)
    return ordered[:number]


def main() -> None:
    __HOLE__ len(sys.argv) != 2:
        print("usage: words.py FILE")
        sys.exit(__HOLE__)
    counts = count(words_in(sys.argv[1]))
    for word in most_common(counts):
        print(counts[word], word)


if __name__ == "__main__":
    __HOLE__

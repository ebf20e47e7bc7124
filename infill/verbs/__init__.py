"""What the program does at a terminal with code: `fill`, `doctor`. Knows no argument parser."""

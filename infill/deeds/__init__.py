"""What is done to a document at somebody's word: filled, mended, rewritten. Knows no editors."""

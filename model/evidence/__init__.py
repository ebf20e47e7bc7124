"""What counting knows of code: tables, contexts, proposals, and their weight beside a network's."""

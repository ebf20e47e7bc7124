"""`python -I -m lsp` is `infill-lsp`. Without -I Python may find another package called lsp."""

import sys

from infill_lsp import main

if __name__ == "__main__":
    sys.exit(main())

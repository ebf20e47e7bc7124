"""How the bundled model is made: corpus, recipe, counts, the finished folder."""

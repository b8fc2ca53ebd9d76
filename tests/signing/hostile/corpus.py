"""Every hostile file, by the attack that it is."""

from tests.signing.hostile import graphs, pickles, polyglots, structures
from tests.signing.hostile.build import Corpus

__all__ = ["CORPUS"]

CORPUS: Corpus = {**pickles.CORPUS, **polyglots.CORPUS, **structures.CORPUS, **graphs.CORPUS}

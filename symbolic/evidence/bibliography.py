"""Works that derivations cite, as BibTeX.

Authors, titles, years, venues and pages were compared with the papers' own pages or with other
works that cite them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["WORKS", "Work", "bibtex", "cited", "with_citations"]


@dataclass(frozen=True)
class Work:
    """A work.

    Parameters
    ----------
    mention : str
        How the sources of derivations name it.
    key : str
        BibTeX key.
    kind : str
        BibTeX type.
    fields : tuple of (str, str)
        BibTeX fields.
    """

    mention: str
    key: str
    kind: str
    fields: tuple[tuple[str, str], ...]

    def bibtex(self) -> str:
        """Return the entry."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def _preprint(arxiv: str) -> tuple[tuple[str, str], ...]:
    return ("eprint", arxiv), ("archiveprefix", "arXiv"), ("note", f"arXiv:{arxiv}")


WORKS = (
    Work(
        "Xu & Du 2023",
        "xu-du-2023",
        "inproceedings",
        (
            ("author", "Xu, Weihang and Du, Simon S."),
            (
                "title",
                "Over-Parameterization Exponentially Slows Down Gradient Descent for Learning a "
                "Single Neuron",
            ),
            ("booktitle", "Conference on Learning Theory"),
            ("pages", "1155--1198"),
            ("year", "2023"),
            *_preprint("2302.10034"),
        ),
    ),
    Work(
        "Xu, Fazel & Du 2024",
        "xu-fazel-du-2024",
        "inproceedings",
        (
            ("author", "Xu, Weihang and Fazel, Maryam and Du, Simon S."),
            (
                "title",
                "Toward Global Convergence of Gradient {EM} for Over-Parameterized {Gaussian} "
                "Mixture Models",
            ),
            ("booktitle", "Advances in Neural Information Processing Systems"),
            ("year", "2024"),
            *_preprint("2407.00490"),
        ),
    ),
    Work(
        "Zhang, Xu, Zhou, Fazel & Du 2026",
        "zhang-et-al-2026",
        "inproceedings",
        (
            (
                "author",
                "Zhang, Yiran and Xu, Weihang and Zhou, Mo and Fazel, Maryam and Du, Simon S.",
            ),
            (
                "title",
                "Convergence Dynamics of Over-Parameterized Score Matching for a Single {Gaussian}",
            ),
            ("booktitle", "International Conference on Learning Representations"),
            ("year", "2026"),
            *_preprint("2511.22069"),
        ),
    ),
    Work(
        "Luo, Xu, Gao, Fazel & Du",
        "luo-et-al-2025",
        "misc",
        (
            (
                "author",
                "Luo, Minrui and Xu, Weihang and Gao, Xiang and Fazel, Maryam and Du, Simon S.",
            ),
            (
                "title",
                "Global Convergence of Four-Layer Matrix Factorization under Random Initialization",
            ),
            ("year", "2025"),
            *_preprint("2511.09925"),
        ),
    ),
    Work(
        "Yehudai & Shamir 2020",
        "yehudai-shamir-2020",
        "inproceedings",
        (
            ("author", "Yehudai, Gilad and Shamir, Ohad"),
            ("title", "Learning a Single Neuron with Gradient Methods"),
            ("booktitle", "Conference on Learning Theory"),
            ("pages", "3756--3786"),
            ("year", "2020"),
            *_preprint("2001.05205"),
        ),
    ),
    Work(
        "Safran & Shamir 2018",
        "safran-shamir-2018",
        "inproceedings",
        (
            ("author", "Safran, Itay and Shamir, Ohad"),
            (
                "title",
                "Spurious Local Minima are Common in Two-Layer {ReLU} Neural Networks",
            ),
            ("booktitle", "International Conference on Machine Learning"),
            ("pages", "4433--4441"),
            ("year", "2018"),
            *_preprint("1712.08968"),
        ),
    ),
    Work(
        "Du, Hu & Lee 2018",
        "du-hu-lee-2018",
        "inproceedings",
        (
            ("author", "Du, Simon S. and Hu, Wei and Lee, Jason D."),
            (
                "title",
                "Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are "
                "Automatically Balanced",
            ),
            ("booktitle", "Advances in Neural Information Processing Systems"),
            ("year", "2018"),
            *_preprint("1806.00900"),
        ),
    ),
    Work(
        "Cho & Saul 2009",
        "cho-saul-2009",
        "inproceedings",
        (
            ("author", "Cho, Youngmin and Saul, Lawrence K."),
            ("title", "Kernel Methods for Deep Learning"),
            ("booktitle", "Advances in Neural Information Processing Systems"),
            ("pages", "342--350"),
            ("year", "2009"),
        ),
    ),
    Work(
        "Price 1958",
        "price-1958",
        "article",
        (
            ("author", "Price, Robert"),
            ("title", "A Useful Theorem for Nonlinear Devices Having {Gaussian} Inputs"),
            ("journal", "IRE Transactions on Information Theory"),
            ("volume", "4"),
            ("number", "2"),
            ("pages", "69--72"),
            ("year", "1958"),
        ),
    ),
    Work(
        "Williams 1997",
        "williams-1997",
        "inproceedings",
        (
            ("author", "Williams, Christopher K. I."),
            ("title", "Computing with Infinite Networks"),
            ("booktitle", "Advances in Neural Information Processing Systems"),
            ("pages", "295--301"),
            ("year", "1997"),
        ),
    ),
    Work(
        "Stein 1981",
        "stein-1981",
        "article",
        (
            ("author", "Stein, Charles M."),
            ("title", "Estimation of the Mean of a Multivariate Normal Distribution"),
            ("journal", "The Annals of Statistics"),
            ("volume", "9"),
            ("number", "6"),
            ("pages", "1135--1151"),
            ("year", "1981"),
        ),
    ),
)


def cited(sources: Iterable[str]) -> tuple[Work, ...]:
    """Return the works that occur in sources.

    Parameters
    ----------
    sources : iterable of str
        Such as ``Xu & Du 2023, arXiv 2302.10034, Lemma 20``.

    Returns
    -------
    tuple of Work
        Each once, in the order of `WORKS`.
    """
    sources = tuple(sources)
    return tuple(work for work in WORKS if any(work.mention in source for source in sources))


def bibtex(sources: Iterable[str]) -> str:
    """Return a BibTeX file of the works that occur in sources; empty if there is none.

    Parameters
    ----------
    sources : iterable of str
        As in `cited`.

    Returns
    -------
    str
        One entry a work.
    """
    return "".join(f"{work.bibtex()}\n\n" for work in cited(sources))


def with_citations(source: str) -> str:
    r"""Return LaTeX of a source that is escaped already, with ``\cite`` in place of the works.

    Parameters
    ----------
    source : str
        Text in which LaTeX's own characters are escaped.

    Returns
    -------
    str
        LaTeX.

    Examples
    --------
    >>> print(with_citations(r"Xu \& Du 2023, arXiv 2302.10034, Lemma 20"))
    \cite{xu-du-2023}, Lemma 20
    """
    for work in WORKS:
        mention = re.escape(work.mention.replace("&", r"\&"))
        cite = rf"\\cite{{{work.key}}}"  # in a replacement a backslash is written twice
        source = re.sub(mention + r"(?:, arXiv[ :][\d.]*\d)?", cite, source)
    return source

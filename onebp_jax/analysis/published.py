"""The published numbers of Table 5 of arXiv 2403.18227: items of ML-100k near the centre of a genre that have the genre.

The columns are P at 5, 10, 20 and 50, of TwoBP and then of OneBP. R and F1 follow: R = P k / n for a genre of n items. The paper
does not say what "near" is.
"""

from __future__ import annotations

KS = (5, 10, 20, 50)
# Our method -> the paper's name.
METHODS = {"twobp": "TwoBP", "onebp": "OneBP"}
OVERALL = "Overall"

_PRECISION = """
unknown      0     0.1   0.05  0.02  0     0     0     0.02 
Action       1     1     1     0.86  1     1     1     1    
Adventure    0.8   0.6   0.6   0.48  0.8   0.7   0.7   0.64 
Animation    0.8   0.7   0.65  0.4   1     0.9   0.85  0.48 
Children's   1     1     0.85  0.76  1     1     1     0.86 
Comedy       0.8   0.7   0.6   0.42  1     1     1     0.96 
Crime        0.4   0.2   0.15  0.12  0.6   0.6   0.55  0.46 
Documentary  0.2   0.1   0.1   0.08  0.2   0.1   0.1   0.04 
Drama        0.8   0.6   0.75  0.72  1     1     0.75  0.74 
Fantasy      0.4   0.2   0.15  0.12  0.4   0.4   0.35  0.2  
Film-Noir    0.4   0.3   0.3   0.14  0.6   0.5   0.35  0.2  
Horror       1     1     1     0.82  1     1     1     0.9  
Musical      0.6   0.5   0.35  0.28  1     1     0.5   0.3  
Mystery      0     0.1   0.1   0.06  0.2   0.4   0.3   0.3  
Romance      0.4   0.4   0.3   0.18  0.8   0.9   0.9   0.7  
Sci-Fi       0.6   0.6   0.6   0.36  0.8   0.8   0.8   0.6  
Thriller     0.8   0.6   0.65  0.48  0.8   0.7   0.7   0.72 
War          0.6   0.4   0.4   0.26  0.8   0.6   0.4   0.36 
Western      0.2   0.1   0.15  0.1   0     0.2   0.15  0.12 
Overall      0.568 0.484 0.461 0.351 0.684 0.674 0.6   0.505
"""

# What the paper prints below its table for all genres together.
_OVERALL = {
    "P": (0.568, 0.484, 0.461, 0.351, 0.684, 0.674, 0.6, 0.505),
    "R": (0.019, 0.032, 0.06, 0.115, 0.022, 0.044, 0.079, 0.166),
    "F1": (0.036, 0.06, 0.107, 0.173, 0.044, 0.083, 0.139, 0.25),
}


def genres() -> dict[str, dict[str, tuple[float, ...]]]:
    """Genre -> method -> P at each of `KS`; the last genre is `OVERALL`.

    >>> genres()["Romance"]["onebp"]
    (0.8, 0.9, 0.9, 0.7)
    """
    found = {}
    for line in _PRECISION.strip().split("\n"):
        name, *numbers = line.split()
        found[name] = _by_method(tuple(map(float, numbers)))
    return found


def overall(metric: str) -> dict[str, tuple[float, ...]]:
    """Method -> the metric (P, R or F1) over all genres, at each of `KS`."""
    return _by_method(_OVERALL[metric])


def _by_method(numbers: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    width = len(KS)
    return {method: numbers[place * width : (place + 1) * width] for place, method in enumerate(METHODS)}

"""What the vectors of finished runs say, beside section 5 of the paper: genres, latent types, majority and minority types.

It needs the extra `analysis`: scikit-learn for clusters and maps, matplotlib for pictures.
"""

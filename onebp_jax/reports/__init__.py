"""One page out of finished runs: tables with intervals, curves, what the lists are like, genres, speed, commands.

Pictures need the extra `analysis`.
"""

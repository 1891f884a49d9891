"""A run folder as an HTTP service: events in, recommendations out. `onebp serve` starts it; it needs the extra `serving`.

    request -> guards -> app -> replica -> log        events: written, then applied, then answered
                            `-> ranker -> model       lists: one product for all who wait

The log is the truth: a model with its live users is a function of a run folder and of the log up to a sequence number.
"""

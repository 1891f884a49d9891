"""Every named method as a composition of encoder, sampler, loss and two updaters: the papers on one page.

`config.method = NAME` calls the function of that name with the run's config. Its keyword-only arguments are the method's
options, `config.options.OPTION`. A config may also hold your own function, which takes the config and returns a `Method`.

Parts that a function does not name are those of `twobp`: an embedding table per tower, uniform negatives (per row, or
shared by the batch), InfoNCE, and for both towers gradient steps of `config.transform` (Adam by default) over the whole
table (`optimizer="dense"`, the paper's) or on the rows of the batch (`"rowwise"`).
"""

from __future__ import annotations

from onebp_jax import encoders, losses, samplers, updaters
from onebp_jax.errors import UserError
from onebp_jax.methods import baselines, factors
from onebp_jax.methods.baselines import MAX_BYTES, Baseline
from onebp_jax.methods.histories import event_by_event, histories
from onebp_jax.methods.parts import average, by_gradient, checked_weight, compose, feature_towers, in_front, projected
from onebp_jax.ops.fold import Recency
from onebp_jax.types import Method


def onebp(config) -> Method:
    """OneBP: the item tower learns by gradients, each user is a moving average of the items they touched (arXiv 2403.18227)."""
    return event_by_event(config, compose(config, user=average(config)))


def twobp(config) -> Method:
    """Both towers learn by gradients: the usual matrix factorisation ("MF" in Table 2)."""
    return compose(config)


def user_only(config) -> Method:
    """The reverse: the user tower learns by gradients, each item is a moving average of its users (Table 3)."""
    return compose(config, item=average(config))


def onebp_history(
    config,
    *,
    damping: float = 0.0,
    through: bool = True,
    leave_one_out: bool = False,
    smoothing: float = 0.0,
    user_damping: float = 0.5,
    half_life: float = 0.0,
    lasting: float = 0.0,
    row_loss: str = "infonce",
    margin: float = 0.8,
    weight: float = 300.0,
) -> Method:
    """OneBP at its limit: each user is the sum of the history's current item vectors; a batch holds whole histories."""
    recency = Recency(half_life, lasting)
    encoder = encoders.aggregate(config.dim, damping, through, leave_one_out, smoothing, user_damping, recency)
    return histories(config, encoder, row_loss, margin, weight)


def onebp_spectral(
    config,
    *,
    spectral_dim: int = 256,
    spectral_weight: float = 0.2,
    item_power: float = 0.5,
    response: float = 0.0,
    damping: float = 0.0,
    smoothing: float = 0.0,
    user_damping: float = 0.5,
    half_life: float = 0.0,
    lasting: float = 0.0,
) -> Method:
    """onebp_history, with spectral vectors beside its own that do not learn: one wider table, one inner product."""
    recency = Recency(half_life, lasting)
    own = encoders.aggregate(config.dim, damping, smoothing=smoothing, user_damping=user_damping, recency=recency)
    beside = spectral_dim, spectral_weight, item_power, response
    return histories(config, encoders.beside_spectral(own, *beside, seed=config.seed, recency=recency))


# Encoders.


def lightgcn(config, *, num_layers: int = 2) -> Method:
    """LightGCN: linear propagation of both tables over the training graph (He et al. 2020)."""
    return compose(config, encoder=encoders.lightgcn(config.dim, num_layers, config.normalize))


def ngcf(config, *, num_layers: int = 2, form: str = "paper", dropout: float = 0.1) -> Method:
    """NGCF: propagation with weights and products of neighbours (Wang et al. 2019); form: paper, official or recbole."""
    return compose(config, encoder=encoders.ngcf(config.dim, num_layers, form, dropout=dropout))


def onebp_lightgcn(config, *, num_layers: int = 2, reading: str = "layer0") -> Method:
    """OneBP in front of LightGCN (our readings of section 5.3); reading: layer0, output or prestep."""
    return in_front(config, encoders.lightgcn(config.dim, num_layers, config.normalize), reading)


def onebp_ngcf(config, *, num_layers: int = 2, dropout: float = 0.1, reading: str = "layer0") -> Method:
    """OneBP in front of NGCF in the paper's form, like onebp_lightgcn."""
    return in_front(config, encoders.ngcf(config.dim, num_layers, dropout=dropout), reading)


def onebp_features(config, *, hidden: str = "64", ids: bool = True, towers: str = "item") -> Method:
    """OneBP with a Flax tower over side information (item_features, user_features); a new item has a vector at once."""
    return feature_towers(config, hidden, ids, towers)


# Negatives.


def pns(config, *, gamma: float = 1.0) -> Method:
    """Negatives in proportion to popularity ^ gamma among the untouched items (static popularity)."""
    return compose(config, sampler=samplers.popularity(config.num_negatives, gamma))


def dns(config, *, num_candidates: int = 10, rule: str = "topk") -> Method:
    """Dynamic negatives: the best scored of uniform candidates (Zhang et al. 2013); rule: topk or groups."""
    return compose(config, sampler=samplers.dynamic(config.num_negatives, num_candidates, rule))


def hars(config, *, num_candidates: int = 10) -> Method:
    """Hard negatives: of uniform candidates those nearest to the user (the hard sampling of metric learning)."""
    return compose(config, sampler=samplers.hardest_distance(config.num_negatives, num_candidates))


def two_stage(config, *, num_candidates: int = 300, gamma: float = 1.0) -> Method:
    """Two stages: popular candidates for the batch, then those similar to the positive (Tran et al. 2019)."""
    return compose(config, sampler=samplers.two_stage(config.num_negatives, num_candidates, gamma))


def in_batch(config, *, correction: str = "static", mask_known: bool = False) -> Method:
    """The other positives of the batch as negatives, logQ-corrected (Yi et al. 2019); correction: static, streaming or none."""
    return compose(config, sampler=samplers.in_batch(correction, mask_known))


def cbns(
    config, *, bank_size: int = 4096, warmup: int = 200, correction: str = "static", mask_known: bool = False
) -> Method:
    """In-batch negatives and a bank of item vectors of earlier batches, after warmup steps (Wang et al. 2021)."""
    if (needed := 4 * config.batch_size * bank_size) > MAX_BYTES:
        raise UserError(
            f"options.bank_size={bank_size}: the scores of a batch against it take {needed / 2**30:.1f} GB, expected at most "
            f"{MAX_BYTES / 2**30:.0f}; lower it or batch_size"
        )
    return compose(config, sampler=samplers.cross_batch(bank_size, warmup, correction, mask_known))


def mns(config, *, num_uniform: int = 1024, correct_positive: bool = True, mask_known: bool = False) -> Method:
    """Mixed negatives: the other positives of the batch and num_uniform shared uniform items (Yang et al. 2020)."""
    return compose(config, sampler=samplers.mixed(num_uniform, correct_positive, mask_known))


def auc_ns(
    config, *, num_candidates: int = 5, extra: int = 10, alpha: float = 0.6, prior: float = 0.025, gamma: float = 0.006
) -> Method:
    """BPR with one negative, the candidate that raises the AUC most (arXiv 2306.01348); prior is the authors' beta."""
    sampler = samplers.auc_optimal(1, num_candidates, extra, alpha, prior, gamma)
    return compose(config, sampler=sampler, loss=losses.bpr(config.temperature))


def bns(config, *, num_candidates: int = 5, weight: float = 5.0, form: str = "user_negatives") -> Method:
    """BPR with one negative, the candidate of least Bayesian risk (Liu and Wang 2023); form: user_negatives or all_items."""
    sampler = samplers.bayesian(1, num_candidates, weight, form)
    return compose(config, sampler=sampler, loss=losses.bpr(config.temperature))


# Losses.


def cml(config, *, margin: float = 1.5, rank_weight: bool = True, covariance: float = 0.0) -> Method:
    """Collaborative metric learning in the unit ball: the closest negative, weighted by rank (Hsieh et al. 2017)."""
    penalty = updaters.covariance(checked_weight("covariance", covariance)) if covariance else None
    return compose(
        config,
        encoder=encoders.euclidean(config.dim, start="ball"),
        loss=losses.cml(margin, rank_weight),
        user=projected(config, updaters.ball(), penalty),
        item=projected(config, updaters.ball(), penalty),
    )


def sfcml(config, *, margin: float = 2.0) -> Method:
    """Metric learning without sampling: each user's items against all others, on unit vectors (Bao et al. 2022)."""
    return compose(
        config,
        encoder=encoders.embedding(config.dim, normalize=True),
        sampler=samplers.full_catalogue(),
        loss=losses.sfcml(margin),
        user=projected(config, updaters.sphere()),
        item=projected(config, updaters.sphere()),
        epoch_unit="user",
    )


def dpcml(
    config, *, margin: float = 1.0, num_interests: int = 3, hardest: bool = True, diversity: float = 10.0
) -> Method:
    """Metric learning with several vectors per user, kept apart by a penalty of weight diversity (Bao et al. 2022)."""
    weight = checked_weight("diversity", diversity) / config.batch_size
    penalty = updaters.dcrs(weight, 0.05, 0.25) if weight and num_interests > 1 else None
    return compose(
        config,
        encoder=encoders.euclidean(config.dim, num_interests, user_std=0.01, start="sphere"),
        loss=losses.dpcml(margin, hardest),
        user=projected(config, updaters.sphere(), penalty),
        item=projected(config, updaters.ball()),
    )


def dcl(config, *, tau_plus: float = 0.07) -> Method:
    """Debiased contrastive loss: a negative is liked with probability tau_plus (Chuang et al. 2020)."""
    return compose(config, loss=losses.dcl(tau_plus, config.temperature))


def hcl(config, *, tau_plus: float = 0.07, hardness: float = 1.0) -> Method:
    """The debiased loss with more weight on hard negatives (Robinson et al. 2021)."""
    return compose(config, loss=losses.hcl(tau_plus, hardness, config.temperature))


def buir(config, *, rho: float = 0.995) -> Method:
    """No negatives: each tower predicts the slow copy of the other (Lee et al. 2021)."""
    target = updaters.with_target(by_gradient(config), rho)
    return compose(
        config,
        encoder=encoders.buir(config.dim),
        sampler=samplers.none(),
        loss=losses.buir(),
        user=target,
        item=target,
    )


def ccl(config, *, margin: float = 0.4, weight: float = 5.0) -> Method:
    """SimpleX's cosine contrastive loss (Mao et al. 2021)."""
    encoder = encoders.embedding(config.dim, normalize=True)
    return compose(config, encoder=encoder, loss=losses.ccl(margin, weight))


def directau(config, *, gamma: float = 1.0) -> Method:
    """Alignment and uniformity on the sphere, no negatives (Wang et al. 2022)."""
    encoder = encoders.embedding(config.dim, normalize=True)
    return compose(config, encoder=encoder, sampler=samplers.none(), loss=losses.directau(gamma))


# Several vectors per user.


def mtmi(config, *, num_interests: int = 4, repel: float = 0.1, margin: float = 0.0) -> Method:
    """Several vectors per user that repel each other; the best one counts (our reading of arXiv 2403.05122)."""
    encoder = encoders.multi_interest(config.dim, num_interests, config.normalize)
    return compose(
        config,
        encoder=encoder,
        loss=losses.repel(losses.infonce(config.temperature), checked_weight("repel", repel), margin),
    )


def onebp_k(
    config, *, num_interests: int = 4, usage_bonus: float = 0.0, repel: float = 0.0, cosine: bool = False
) -> Method:
    """OneBP with several vectors per user: each item moves the nearest vector (our own proposal, in no paper)."""
    encoder = encoders.multi_interest(config.dim, num_interests, config.normalize)
    repel = checked_weight("repel", repel) * (1 - config.beta)
    nearest = updaters.nearest_interest(average(config), usage_bonus, repel, cosine=cosine)
    return compose(config, encoder=encoder, user=nearest)


# Without training.


def popularity(config) -> Baseline:
    """Items by their number of training users, the same list for each user; the lower bound for any method; no training."""
    del config
    return baselines.popularity()


def itemknn(
    config, *, num_neighbours: int = 100, shrink: float = 10.0, similarity: str = "cosine", max_bytes: int = MAX_BYTES
) -> Baseline:
    """Item-based nearest neighbours: a user's items vote for items with the same users (Sarwar et al. 2001); no training."""
    del config
    return baselines.item_knn(num_neighbours, shrink, similarity, max_bytes)


def ease(config, *, ease_l2: float = 500.0, max_bytes: int = MAX_BYTES) -> Baseline:
    """EASE^R: each user's items from their other items by one ridge regression (Steck 2019); closed form, no training."""
    del config
    return baselines.ease(ease_l2, max_bytes)


def bspm(config, *, lowpass_weight: float = 0.3, sharpening: float = 0.0, max_bytes: int = MAX_BYTES) -> Baseline:
    """Filters of the item graph: blurring and sharpening (Choi et al. 2023); by default GF-CF (Shen et al. 2021); no training."""
    return baselines.bspm(config.dim, lowpass_weight, sharpening, max_bytes, config.seed)


def spectral(config, *, item_power: float = 0.5, response: float = 0.0, iterations: int = 4) -> Baseline:
    """Singular vectors of the normalised interactions, dim of them: the low-pass of GF-CF (Shen et al. 2021); no training."""
    return factors.spectral(config.dim, item_power, response, iterations, config.seed)


def ials(
    config,
    *,
    ials_l2: float = 0.003,
    unobserved_weight: float = 0.1,
    l2_power: float = 1.0,
    iterations: int = 16,
) -> Baseline:
    """iALS: implicit ALS whose L2 penalty grows with frequency (Rendle et al. 2021); no training by gradients."""
    return factors.ials(config.dim, ials_l2, unobserved_weight, l2_power, iterations, config.seed)


_PAPER = (onebp, twobp, user_only, onebp_history, onebp_spectral)
_ENCODERS = (lightgcn, ngcf, onebp_lightgcn, onebp_ngcf, onebp_features)
_SAMPLERS = (pns, dns, hars, two_stage, in_batch, cbns, mns, auc_ns, bns)
_LOSSES = (cml, sfcml, dpcml, dcl, hcl, buir, ccl, directau)
_OTHERS = (mtmi, onebp_k, popularity, itemknn, ease, bspm, spectral, ials)
NAMED = {function.__name__: function for function in (*_PAPER, *_ENCODERS, *_SAMPLERS, *_LOSSES, *_OTHERS)}

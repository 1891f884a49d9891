"""The published numbers: Tables 2 and 3 of arXiv 2403.18227, test metrics by the paper's own protocol.

The columns of Table 2 are P, R, F1 and NDCG at 5, 10 and 20; those of Table 3 are P and R. Table 3 prints for "both" and "item
only" the numbers of MF and OneBP in Table 2, so this module holds only "user only". The numbers of Gowalla and Yelp2018 belong to
the split that the authors released (`gowalla-paper`, `yelp2018-paper`), not to that of LightGCN.

Yelp2018's "user only" cannot be right as printed: its R@5 is above its R@10.
"""

from __future__ import annotations

METRICS = tuple(f"{name}@{k}" for k in (5, 10, 20) for name in ("P", "R", "F1", "NDCG"))
COLUMNS = {2: METRICS, 3: tuple(name for name in METRICS if name[0] in "PR")}

# Row -> our method, in the order of the paper.
ROWS = {
    2: {
        "MF": "twobp",
        "LightGCN": "lightgcn",
        "NGCF": "ngcf",
        "DNS": "dns",
        "PNS": "pns",
        "HarS": "hars",
        "2stS": "two_stage",
        "CML": "cml",
        "SFCML": "sfcml",
        "DPCML": "dpcml",
        "DCL": "dcl",
        "HCL": "hcl",
        "BUIR": "buir",
        "OneBP": "onebp",
    },
    3: {"both": "twobp", "user only": "user_only", "item only": "onebp"},
}

_TABLE_2 = """
ml-100k        MF       .4155 .1434 .1850 .4430 .3496 .2308 .2328 .4181 .2824 .3529 .2606 .4183
ml-100k        LightGCN .4263 .1458 .1881 .4531 .3587 .2313 .2351 .4269 .2877 .3474 .2609 .4236
ml-100k        NGCF     .4176 .1452 .1871 .4469 .3582 .2356 .2380 .4264 .2875 .3597 .2652 .4248
ml-100k        DNS      .4214 .1460 .1882 .4501 .3531 .2317 .2342 .4226 .2836 .3544 .2614 .4228
ml-100k        PNS      .3979 .1338 .1742 .4231 .3415 .2180 .2230 .4026 .2741 .3373 .2511 .4016
ml-100k        HarS     .4227 .1455 .1878 .4516 .3527 .2312 .2342 .4239 .2852 .3557 .2624 .4247
ml-100k        2stS     .3718 .1217 .1597 .3929 .3188 .2027 .2085 .3715 .2574 .3184 .2365 .3717
ml-100k        CML      .3796 .1174 .1562 .3963 .3314 .2022 .2109 .3793 .2720 .3243 .2458 .3811
ml-100k        SFCML    .4174 .1432 .1846 .4429 .3544 .2292 .2321 .4202 .2814 .3389 .2542 .4147
ml-100k        DPCML    .3869 .1337 .1717 .4115 .3207 .2108 .2130 .3836 .2647 .3287 .2435 .3833
ml-100k        DCL      .4291 .1501 .1928 .4587 .3608 .2384 .2402 .4319 .2845 .3542 .2621 .4257
ml-100k        HCL      .4263 .1499 .1924 .4576 .3576 .2365 .2389 .4295 .2814 .3513 .2603 .4229
ml-100k        BUIR     .4146 .1387 .1804 .4373 .3491 .2258 .2297 .4121 .2743 .3445 .2529 .4070
ml-100k        OneBP    .4530 .1559 .2015 .4822 .3811 .2494 .2529 .4535 .3032 .3730 .2776 .4501
ml-1m          MF       .4046 .0962 .1355 .4234 .3510 .1584 .1816 .3930 .2922 .2477 .2166 .3780
ml-1m          LightGCN .4121 .0955 .1350 .4327 .3537 .1584 .1792 .3981 .2921 .2401 .2132 .3791
ml-1m          NGCF     .4192 .1014 .1422 .4397 .3608 .1643 .1879 .4059 .2983 .2560 .2234 .3888
ml-1m          DNS      .4080 .0975 .1372 .4276 .3558 .1606 .1841 .3980 .2948 .2504 .2190 .3819
ml-1m          PNS      .3931 .0950 .1334 .4129 .3362 .1542 .1759 .3802 .2773 .2386 .2079 .3639
ml-1m          HarS     .3453 .0719 .1042 .3687 .2770 .1086 .1293 .3201 .2049 .1544 .1424 .2781
ml-1m          2stS     .3772 .0930 .1295 .3978 .3261 .1507 .1704 .3679 .2689 .2362 .2029 .3521
ml-1m          CML      .3425 .0753 .1077 .3554 .3047 .1277 .1497 .3341 .2580 .2055 .1847 .3226
ml-1m          SFCML    .3968 .0959 .1348 .4136 .3481 .1573 .1808 .3875 .2912 .2430 .2154 .3741
ml-1m          DPCML    .3883 .0880 .1250 .4079 .3359 .1424 .1665 .3755 .2758 .2198 .1983 .3538
ml-1m          DCL      .4133 .0953 .1350 .4355 .3512 .1520 .1770 .3967 .2867 .2328 .2084 .3732
ml-1m          HCL      .4125 .0957 .1355 .4345 .3515 .1528 .1776 .3972 .2867 .2336 .2086 .3736
ml-1m          BUIR     .3875 .0942 .1318 .4089 .3314 .1520 .1728 .3760 .2714 .2332 .2023 .3581
ml-1m          OneBP    .4300 .1071 .1487 .4512 .3709 .1746 .1966 .4182 .3069 .2690 .2316 .4036
gowalla-paper  MF       .0739 .0757 .0621 .1016 .0560 .1122 .0623 .1076 .0422 .1650 .0587 .1230
gowalla-paper  LightGCN .0845 .0888 .0725 .1166 .0631 .1297 .0713 .1232 .0465 .1864 .0642 .1394
gowalla-paper  NGCF     .0768 .0808 .0661 .1051 .0585 .1210 .0664 .1127 .0440 .1769 .0608 .1291
gowalla-paper  DNS      .0737 .0779 .0633 .1013 .0563 .1162 .0636 .1085 .0421 .1696 .0580 .1240
gowalla-paper  PNS      .0586 .0611 .0502 .0811 .0439 .0894 .0494 .0855 .0323 .1298 .0445 .0968
gowalla-paper  HarS     .0719 .0742 .0609 .0989 .0544 .1098 .0607 .1048 .0411 .1600 .0558 .1189
gowalla-paper  2stS     .0609 .0599 .0501 .0832 .0461 .0883 .0502 .0871 .0345 .1285 .0462 .0982
gowalla-paper  CML      .0501 .0603 .0472 .0705 .0384 .0901 .0466 .0782 .0284 .1285 .0412 .0902
gowalla-paper  SFCML    .0899 .0931 .0766 .1243 .0672 .1365 .0756 .1278 .0496 .1963 .0689 .1477
gowalla-paper  DPCML    .0782 .0759 .0642 .1042 .0590 .1124 .0645 .1092 .0432 .1632 .0584 .1225
gowalla-paper  DCL      .0761 .0776 .0642 .1036 .0575 .1149 .0640 .1093 .0424 .1651 .0578 .1236
gowalla-paper  HCL      .0873 .0885 .0731 .1180 .0653 .1286 .0723 .1236 .0477 .1846 .0649 .1392
gowalla-paper  BUIR     .0854 .0872 .0720 .1166 .0651 .1306 .0725 .1241 .0484 .1898 .0661 .1411
gowalla-paper  OneBP    .0948 .0971 .0803 .1282 .0715 .1431 .0798 .1356 .0527 .2059 .0722 .1536
yelp2018-paper MF       .0429 .0246 .0284 .0470 .0365 .0417 .0352 .0491 .0305 .0700 .0394 .0580
yelp2018-paper LightGCN .0527 .0318 .0354 .0577 .0452 .0536 .0430 .0613 .0374 .0884 .0464 .0724
yelp2018-paper NGCF     .0511 .0307 .0343 .0555 .0438 .0523 .0419 .0590 .0364 .0865 .0453 .0702
yelp2018-paper DNS      .0469 .0279 .0312 .0509 .0404 .0481 .0385 .0541 .0341 .0804 .0422 .0647
yelp2018-paper PNS      .0324 .0196 .0218 .0351 .0280 .0335 .0267 .0374 .0235 .0555 .0291 .0448
yelp2018-paper HarS     .0418 .0241 .0273 .0456 .0353 .0407 .0331 .0474 .0295 .0678 .0362 .0559
yelp2018-paper 2stS     .0393 .0234 .0261 .0429 .0335 .0397 .0319 .0454 .0277 .0654 .0342 .0536
yelp2018-paper CML      .0347 .0221 .0245 .0397 .0309 .0386 .0301 .0398 .0261 .0658 .0314 .0501
yelp2018-paper SFCML    .0552 .0332 .0370 .0605 .0469 .0556 .0448 .0637 .0384 .0903 .0477 .0747
yelp2018-paper DPCML    .0467 .0273 .0307 .0506 .0393 .0459 .0371 .0530 .0328 .0760 .0403 .0626
yelp2018-paper DCL      .0485 .0285 .0321 .0528 .0415 .0485 .0391 .0557 .0346 .0804 .0426 .0656
yelp2018-paper HCL      .0540 .0327 .0365 .0591 .0456 .0544 .0436 .0621 .0377 .0886 .0464 .0726
yelp2018-paper BUIR     .0597 .0364 .0404 .0655 .0501 .0603 .0481 .0688 .0410 .0982 .0512 .0809
yelp2018-paper OneBP    .0616 .0366 .0410 .0675 .0521 .0613 .0494 .0708 .0428 .0997 .0527 .0827
"""

_USER_ONLY = """
ml-100k        .1088 .0222 .1090 .0411 .1029 .0777
ml-1m          .1081 .0160 .1030 .0312 .0981 .0595
gowalla-paper  .0761 .0727 .0612 .1170 .0474 .1775
yelp2018-paper .0340 .0686 .0340 .0383 .0304 .0686
"""


def published(table: int, dataset: str, row: str) -> dict[str, float] | None:
    """The numbers of a row for a data set of the catalogue, `{"P@5": ..}`; None if the paper has no such row.

    >>> published(2, "ml-100k", "OneBP")["NDCG@20"]
    0.4501
    """
    if row == "user only":
        return _find(_USER_ONLY, [dataset], COLUMNS[3])
    found = _find(_TABLE_2, [dataset, {"both": "MF", "item only": "OneBP"}.get(row, row)], METRICS)
    return found and {name: found[name] for name in COLUMNS[table]}


def _find(text: str, key: list[str], columns: tuple[str, ...]) -> dict[str, float] | None:
    for line in text.split("\n"):
        words = line.split()
        if words[: len(key)] == key:
            return dict(zip(columns, map(float, words[len(key) :]), strict=True))
    return None

"""Tells what is installed: versions, devices, data folders and the sets in them, extras. Put it into a report of a problem.

    onebp doctor

It changes and downloads nothing. Exit status: 0, also where something is broken.
"""

from onebp_jax.cli import doctor


def main() -> None:
    print(doctor.report())


if __name__ == "__main__":
    try:
        from onebp_jax.cli import program
    except Exception:  # a package that cannot be imported: the report says which
        main()
    else:
        program.run(main, __doc__)

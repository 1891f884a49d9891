"""What setup.cfg cannot say: `launch/` and `configs/` are installed as `onebp_jax.launch` and `onebp_jax.configs`."""

from setuptools import find_packages, setup

SHIPPED = {"onebp_jax.launch": "launch", "onebp_jax.configs": "configs"}

setup(packages=[*find_packages(include=["onebp_jax*"]), *SHIPPED], package_dir=SHIPPED)

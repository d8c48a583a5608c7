"""How torch's threads wait for each other, which OpenMP reads from the environment when torch is imported."""

import os

SPINS = "1000"  # of 300,000, with which a transcription beside two busy processes took up to ten times as long


def spin_little() -> None:
    """Before torch is imported: threads that wait give their core away soon. What the user has set counts."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS

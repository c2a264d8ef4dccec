"""The prompts: constants of the method (paper Sec. 3.3, 4 and supplement A)."""

from __future__ import annotations

SUMMARY = (
    "Please summarize what happened in few sentences, based on the following temporal description of a scene. "
    "Do not include any unnecessary details or descriptions."
)
"""P_S."""

FORMAT = (
    "Please provide the response in the form of a Python list and respond with only one number "
    "in the provided list below [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] without any textual explanation. "
    "It should begin with '[' and end with ']'."
)
"""P_F, as the paper and the authors' program for UCF-Crime have it."""

FORMATS = {"ucf-crime": FORMAT, "xd-violence": FORMAT.replace("end with ']'", "end with  ']'")}
"""P_F by name: the authors' program for XD-Violence has two spaces in it, which are another token to a language model."""


def context(*, impersonation: bool, anomaly_prior: bool) -> str:
    """One of the four P_C of Tables 4 and 5."""
    head = "If you were a law enforcement agency, how" if impersonation else "How"
    what = "suspicious or potentially criminal activities" if anomaly_prior else "suspicious activities"
    return (
        f"{head} would you rate the scene described on a scale from 0 to 1, "
        f"with 0 representing a standard scene and 1 denoting a scene with {what}?"
    )


CONTEXT = {
    "plain": context(impersonation=False, anomaly_prior=False),
    "prior": context(impersonation=False, anomaly_prior=True),
    "impersonation": context(impersonation=True, anomaly_prior=False),
    "both": context(impersonation=True, anomaly_prior=True),
}
"""P_C by name: ``impersonation`` is UCF-Crime's, ``prior`` XD-Violence's."""

ZERO_SHOT = ("a standard scene", "a scene with suspicious or potentially criminal activities")
"""The texts that zero-shot baselines compare pictures with: what is normal, what is anomalous (Sec. 4.1)."""

SCORE_VALUES = tuple(tenths / 10 for tenths in range(11))
"""The 11 values a score can take."""

SCORE_CHOICES = tuple(f"[{value:.1f}]" if value > 0 else "[0]" for value in SCORE_VALUES)
"""How P_F spells them: ``[0]``, ``[0.1]``, …, ``[1.0]``."""

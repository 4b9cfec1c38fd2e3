"""Tocsin's own rules, by the names under which decisions and timelines tell of them: what each of them does."""

from collections.abc import Mapping

BUILT_IN: Mapping[str, str] = {
    "open-s1-s2": "An S1 or S2 alert opens an incident when no open one holds its correlation key.",
    "attach-same-key": "An alert of any severity joins the open incident that holds its correlation key.",
    "refire": (
        "An alert that would open an incident reopens the one of its key when that is mitigated, or was resolved within "
        "timers.refire_window (an S1 or S2 also within severity.history.stable_period)."
    ),
    "record-s3-s4": "An S3 or S4 alert is recorded only when no open incident holds its correlation key.",
    "unknown-severity": (
        "An alert whose severity label is missing or has a word that severity.map does not know is recorded only when no "
        "open incident holds its correlation key."
    ),
    "over-before-seen": "An alert that was over before it was first heard of is recorded only.",
    "dependency": "An alert of a service joins the open incident of one that it depends on, as dependencies says.",
    "maintenance": "What would open an incident while maintenance holds for it is recorded only, and decided anew after it.",
    "rate-guard": (
        "When rules have opened as many incidents within guard.within as guard.openings allows, one umbrella incident takes "
        "what would open more."
    ),
    "alert-severity-floor": "An incident is at least as severe as the worst alert ever linked to it, unless a person pinned it.",
    "combine-s3-s4": "So many S3 and S4 alerts of one key as severity.history.combine says are an S2 together.",
    "triage-promotion": "An incident in triage becomes active when one of the conditions under triage.promote holds.",
    "flapping": "An alert that begins flapping.count times within flapping.within holds its incident open until it stays away.",
    "alert-resolved": "An alert that Alertmanager reports as resolved is over.",
    "reconcile": "An alert is counted as what Alertmanager's list shows: firing, silenced or inhibited, forgotten, over.",
    "stale-after": "An alert that was not heard of for timers.stale_after is stale: it may be over, but nobody said so.",
    "heard-again": "A stale alert that is heard of again fires again.",
    "time-passed": (
        "When what holds an incident open has been over for timers.quiet_period, mitigation is proposed; in triage, after "
        "triage.quiet_period, it is dismissed, and one that lasts for triage.promote.persists becomes active."
    ),
}

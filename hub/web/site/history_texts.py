"""What the history's own script says, in English; `hub/texts.py` has the other languages."""

from __future__ import annotations

# Of templates/files/history.js, which asks for each by the English text.
SCRIPT = (
    "Today",
    "Yesterday",
    "Running",
    "Queued",
    "Loading the model",
    "Stopped",
    "Failed",
    "{step} of {total}",
    "{seconds} s",
    "{ms} ms",
    "{seconds} s so far",
    "answered before, shown again",
    "run {count} times",
    "Show",
    "Stop",
    "Open in the page",
    "Result",
    "Delete",
    "Choose: {what}",
    "No run yet. Open a demo and try it: what you run is listed here.",
    "Nothing was found. Try fewer words, or all pages.",
    "{count} run",
    "{count} runs",
    "All pages",
    "{count} chosen",
    "Choose two runs of one page to compare them",
    "Only runs of one page can be compared",
    "1 run deleted.",
    "{count} runs deleted.",
    "Undo",
    "It could not be deleted: {why}",
    "The hub does not answer. Is it running?",
    ": ",
    ", ",
    "none",
    "yes",
    "no",
)
ENDS = (("0", "never"), ("1", "in a day"), ("7", "in a week"), ("30", "in 30 days"))
MENU = "Delete all"

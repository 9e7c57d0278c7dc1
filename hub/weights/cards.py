"""The YAML in front of a model card, as anybody may have written it."""

from __future__ import annotations

from typing import Any


def front_of(text: str) -> dict[str, Any]:
    """What stands in front of a card, between two lines of dashes. Raises ValueError, also for what is no YAML."""
    import yaml  # here, because few starts of the hub read a card

    class Loader(yaml.SafeLoader):
        """Without aliases: ten lines that merge each other ten times would be ten thousand million entries."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it has aliases")
            return super().compose_node(parent, index)

    # By lines: the Hub's own pattern for this takes hours for a card of empty lines.
    first, *lines = text.lstrip().splitlines() or [""]
    if first.rstrip() != "---" or "---" not in lines:
        return {}
    try:
        content = Loader("\n".join(lines[: lines.index("---")])).get_single_data()
    except Exception as error:  # whatever a stranger's YAML makes of the library
        raise ValueError(f"its YAML cannot be read: {error!r}") from None
    return content if isinstance(content, dict) else {}

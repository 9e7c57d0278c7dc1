"""The YAML in front of a model card, as anybody may have written it."""

from __future__ import annotations

from typing import Any


def front_of(text: str) -> dict[str, Any]:
    """What stands in front of a card, between two lines of dashes. Raises ValueError, also for what is no YAML."""
    import yaml  # here, because few starts of the hub read a card
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    class Loader(yaml.SafeLoader):
        """Without aliases: ten lines that merge each other ten times would be ten thousand million entries."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it has aliases")
            return super().compose_node(parent, index)

    found = REGEX_YAML_BLOCK.search(text)
    try:
        content = Loader(found[2]).get_single_data() if found else {}
    except Exception as error:  # whatever a stranger's YAML makes of the library
        raise ValueError(f"its YAML cannot be read: {error!r}") from None
    return content if isinstance(content, dict) else {}

"""Networks that write and draw, as their libraries run them, and how large pipelines use a device."""

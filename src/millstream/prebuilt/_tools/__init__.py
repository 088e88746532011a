"""What `ToolNode` is built on."""

"""Agent Servers side by side: how fast they answer, what they keep, what they cost when idle."""

"""Where jobs run, and the directories in which their results land."""

"""The notebook face: widgets over plots, also where the sidebar does not exist."""

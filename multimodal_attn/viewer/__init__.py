"""The viewer of traces: what it is given, and its markup, style and scripts. Knows no server and no Gradio."""

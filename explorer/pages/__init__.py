"""The script that Streamlit runs, and one file a page."""

"""Reports with pictures: one page of HTML for a load, and one for an inspection."""

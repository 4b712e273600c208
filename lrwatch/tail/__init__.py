"""Files that grow, as streams: following them, finding them, and knowing when to look again."""

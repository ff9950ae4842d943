"""The Service proxy: `rules` says where traffic goes (pure), `backends` render that, `proxy` keeps the kernel true."""

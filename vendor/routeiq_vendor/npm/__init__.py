"""What the console is built with and from: Node out of a wheel, packages of npm as tarballs in the pool."""

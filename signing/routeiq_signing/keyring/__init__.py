"""Private keys in all their forms, behind one `Signer`: files, cosign's format, tokens; and their rotation."""

// Judges a sigstore bundle that one plain key made, with npm's @sigstore/verify and nothing of ours.
// node verify.js PUBLIC.pem BUNDLE.json [DOCUMENT]: prints what was signed and exits 0, or the reason and exits 1.
// Neither a log, a timestamp nor a certificate is asked for: the key is pinned.
"use strict";
const { createPublicKey } = require("node:crypto");
const fs = require("node:fs");
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const [pem, file, document] = process.argv.slice(2);
try {
  const key = { publicKey: createPublicKey(fs.readFileSync(pem)), validFor: () => true };
  const nothing = { tlogs: [], ctlogs: [], timestampAuthorities: [], certificateAuthorities: [] };
  const options = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
  const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(file, "utf8")));
  const signed = document === undefined ? undefined : fs.readFileSync(document);
  new Verifier(toTrustMaterial(nothing, () => key), options).verify(toSignedEntity(bundle, signed));
  const envelope = bundle.content.dsseEnvelope;
  console.log(envelope ? envelope.payload.toString("utf8") : "verified");
} catch (error) {
  console.log(error.message);
  process.exitCode = 1;
}

#!/usr/bin/env bash
# Verifies a checkpoint with openssl alone: a note's signature is a plain Ed25519 signature of its text (SPEC 4.2).
# Usage: openssl.sh VKEY CHECKPOINT
set -euo pipefail
export LC_ALL=C
vkey=$1 checkpoint=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

name=${vkey%%+*}
rest=${vkey#*+}
id=${rest%%+*}
# RFC 8410: the fixed head of an Ed25519 SubjectPublicKeyInfo, then the key
{ printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00'; printf %s "${rest#*+}" | base64 -d | tail -c 32; } >"$work/key.der"

# The text ends at the last empty line; checkpoints have only one
sed '/^$/,$d' "$checkpoint" >"$work/text"
[ "$(head -n 1 "$work/text")" = "$name" ] || { echo "openssl: refused: the checkpoint is not of $name" >&2; exit 1; }
while IFS=' ' read -r dash signer signature; do
  [ "$dash" = '—' ] && [ "$signer" = "$name" ] || continue
  printf %s "$signature" | base64 -d >"$work/raw" || continue
  [ "$(head -c 4 "$work/raw" | od -An -tx1 | tr -d ' \n')" = "$id" ] || continue
  tail -c +5 "$work/raw" >"$work/signature"
  openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey "$work/key.der" -in "$work/text" -sigfile "$work/signature" >&2 || exit 1
  echo "openssl: ok $(sed -n 2p "$work/text")"
  exit 0
done < <(sed '1,/^$/d' "$checkpoint")
echo "openssl: refused: no signature by $vkey" >&2
exit 1

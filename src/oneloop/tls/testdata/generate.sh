#!/bin/sh
# Makes the certificates of the tests anew: an authority, and two certificates of it for localhost.
set -eu
cd "$(dirname "$0")"

key() {
    openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"
}

authority=$(mktemp)
trap 'rm -f "$authority" request.pem' EXIT
key "$authority"
openssl req -x509 -new -key "$authority" -days 36500 -subj "/CN=oneloop test authority" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out ca.pem
for name in first second; do
    key "$name-key.pem"
    openssl req -new -key "$name-key.pem" -subj "/CN=$name" -out request.pem
    printf '%s\n' "subjectAltName=DNS:localhost,DNS:$name.test,IP:127.0.0.1,IP:::1" \
        "basicConstraints=CA:FALSE" "extendedKeyUsage=serverAuth" |
        openssl x509 -req -in request.pem -CA ca.pem -CAkey "$authority" -CAcreateserial \
            -days 36500 -extfile /dev/stdin -out "$name.pem"
done
rm -f ca.srl

#!/bin/sh
# Installs pefomed and its weights from this folder, without a network. As root: sh install.sh
set -eu
cd "$(dirname "$0")"

fail() { echo "install.sh: $1" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail 'run it as root'
. /etc/os-release
[ "${ID-}${VERSION_ID-}" = debian12 ] || fail "this is for Debian 12, and here is ${PRETTY_NAME-another system}"
package=$(echo pefomed_*.deb)
[ -f "$package" ] || fail 'pefomed_*.deb is missing; unpack the whole bundle'
[ "$(dpkg-deb -f "$package" Architecture)" = "$(dpkg --print-architecture)" ] ||
    fail "the package is for $(dpkg-deb -f "$package" Architecture), and this machine is $(dpkg --print-architecture)"
sha256sum --quiet -c SHA256SUMS || fail 'a file is not as it was packed; copy the bundle again'

# What is here in the same or a newer version stays.
DEBIAN_FRONTEND=noninteractive dpkg --install --skip-same-version --refuse-downgrade debian/*.deb "$package"

if [ -d weights ]; then
    home=/var/lib/pefomed
    install -d -o pefomed -g pefomed -m 0750 "$home/weights"
    for one in weights/*; do
        cp -r "$one" "$home/weights/"
    done
    chown -R pefomed:pefomed "$home/weights"
    chmod -R u=rwX,g=rX,o= "$home/weights"
fi
echo 'installed; /etc/pefomed/serve.env says what is served, then: systemctl enable --now pefomed'

#!/usr/bin/env bash
# prerequisites.sh PYTHON: silent when the machine has what Tillstream needs, otherwise names each missing thing with
# the command that installs it (Debian's and Ubuntu's names) and exits 1.
set -u
python="${1:-python3}"
missing=0

lacks() { # what, command
  printf 'Missing: %s\n  install it with: %s\n' "$1" "$2" >&2
  missing=1
}

if ! command -v "$python" >/dev/null; then
  lacks "Python 3.11 or newer ($python is not there)" "sudo apt-get install python3 python3-venv"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  lacks "Python 3.11 or newer ($python is $("$python" -V 2>&1))" \
    "sudo apt-get install python3.11 python3.11-venv, then: make PYTHON=python3.11"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  lacks "Python's venv module" "sudo apt-get install python3-venv"
fi

if ! command -v java >/dev/null; then
  lacks "Java 17 or newer" "sudo apt-get install openjdk-17-jre-headless"
else
  java_version="$(java -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)"
  if [ "${java_version:-0}" -lt 17 ]; then
    lacks "Java 17 or newer (java is ${java_version:-of an unknown version})" \
      "sudo apt-get install openjdk-17-jre-headless"
  fi
fi

command -v mvn >/dev/null || lacks "Maven" "sudo apt-get install maven"

exit "$missing"

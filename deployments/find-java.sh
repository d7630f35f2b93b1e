#!/bin/sh
# Finds Java 17 or newer, installs it where this user may, or says exactly what to type.
set -u
here=$(dirname "$0")/..
"$here/.venv/bin/python" -c 'from spark_jobs.java import find_java; find_java()' 2>/dev/null && exit 0
echo "Java 17 or newer is not here yet; Spark needs it"
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openjdk-17-jre-headless; } >/dev/null
elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then
  { sudo apt-get update -qq && sudo apt-get install -y -qq openjdk-17-jre-headless; } >/dev/null
elif command -v brew >/dev/null; then
  brew install --quiet openjdk@17
fi
if "$here/.venv/bin/python" -c 'from spark_jobs.java import find_java; find_java()' 2>/dev/null; then
  echo "Java is installed"
  exit 0
fi
echo "error: no Java 17. Type one of these, then the same make command again:" >&2
echo "  sudo apt-get install openjdk-17-jre-headless     (Debian, Ubuntu)" >&2
echo "  sudo dnf install java-17-openjdk-headless        (Fedora, RHEL)" >&2
echo "  brew install openjdk@17                          (macOS)" >&2
echo "or set JAVA_HOME to one that is installed" >&2
exit 2

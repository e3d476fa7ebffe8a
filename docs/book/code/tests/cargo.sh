# Stands for cargo in the shell blocks of the book: runs what this build has made already.
#
# `run` runs the program; a server is stopped once it listens. `test` lists the tests that it would
# run, which must not be none; with --nocapture it runs them. `build` has nothing to do.
set -eu
command=$1
shift
bin=greet-server
test=
filters=()
while [ $# -gt 0 ]; do
    case $1 in
    --bin) bin=$2; shift ;;
    --test) test=$2; shift ;;
    -p) shift ;;
    --) shift; break ;;
    -*) ;;
    *) filters+=("$1") ;;
    esac
    shift
done

run_until_it_listens() {
    "$@" >listening 2>&1 &
    until grep -q 'listening on' listening; do
        kill -0 $! || { cat listening; exit 1; }
        sleep 0.05
    done
    kill $!
}

case $command in
build) ;;
run)
    case $bin in
    greet-server) run_until_it_listens "$PROGRAMS/$bin" --listen 127.0.0.1:0 ;;
    ch??) run_until_it_listens "$PROGRAMS/$bin" "${1:-mended}" 127.0.0.1:0 ;;
    greet-load) PATH="$PROGRAMS:$PATH" "$(dirname "$0")/greet-load" "$@" ;;
    *) "$PROGRAMS/$bin" "$@" ;;
    esac
    ;;
test)
    program=$(find "$PROGRAMS/deps" -name "$test-*" -type f -perm -u+x -printf '%T@ %p\n' |
        sort -rn | head -n 1 | cut -d ' ' -f 2)
    if [ -z "$program" ]; then
        cd "$REPOSITORY"
        exec "$REAL_CARGO" test -q -p oneloop-book --test "$test" "${filters[@]}" -- "$@"
    fi
    case " $* " in
    *" --nocapture "*) "$program" "${filters[@]}" "$@" ;;
    *) "$program" --list "${filters[@]}" | grep ': test$' ;;
    esac
    ;;
*) exit 2 ;;
esac

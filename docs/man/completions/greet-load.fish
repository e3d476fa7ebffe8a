complete -c greet-load -l scenario -d 'The work of the connections: exchange names all the time, hold one whole conversation after the other, be idle and then prove to be alive, or some this and some that' -r -f -a "exchange\t''
churn\t''
idle\t''
mixed\t''"
complete -c greet-load -s n -l connections -d 'Connections' -r
complete -c greet-load -l sweep -d 'One run with each of these numbers of connections' -r
complete -c greet-load -s k -l names -d 'Names in flight on each connection; in churn, names in each conversation. Default 1; with --rate at most 16' -r
complete -c greet-load -s r -l rate -d 'Open loop: send so many names a second over all connections, whatever the server does, and count latency from the moment each was due' -r
complete -c greet-load -l active -d 'In `mixed`: how many connections are active. Default: a tenth' -r
complete -c greet-load -l ramp-rate -d 'Open loop at higher and higher rates, from FROM (default 1k) names a second on, until a condition of --until holds or a rate is not reached: finds the highest rate that the server keeps up with' -r
complete -c greet-load -l until -d 'Conditions that end --ramp-rate, written as for --fail-if' -r
complete -c greet-load -l compare -d 'Compares the server, A, with the one at this address, B: in each round both are measured, and A once more to see how much it differs from itself' -r
complete -c greet-load -l rounds -d 'Rounds of --compare' -r
complete -c greet-load -s d -l duration -d 'Length of the measured part. Default 5s; for each step of --ramp-rate 2s, for each run of --compare 1s' -r
complete -c greet-load -l warm-up -d 'Time for which the connections work before that. Default: a fifth of --duration' -r
complete -c greet-load -l ramp -d 'Time over which the connections are opened. 0s: as fast as the server takes them' -r
complete -c greet-load -l timeout -d 'An answer that takes longer is counted as late' -r
complete -c greet-load -l grace -d 'Wait for a greeting, and for answers at the end; then they are missing' -r
complete -c greet-load -l sources -d 'Local addresses to connect from, in turn: each has some 60,000 ports. A range like 127.0.0.2-127.0.0.9, or several with commas' -r
complete -c greet-load -l framing -d 'End of each name: a line feed, or silence (one name at a time, as a person types)' -r -f -a "line\t''
silence\t''"
complete -c greet-load -l server-pid -d 'The server\'s process, to measure its CPU time and memory' -r
complete -c greet-load -l json -d 'Writes everything into this file, as JSON. `-` is standard output, instead of the report' -r -F
complete -c greet-load -l html -d 'Writes a page with charts into this file' -r -F
complete -c greet-load -l fail-if -d 'Conditions that make it fail, like \'p99>5ms,errors>0\'' -r
complete -c greet-load -l generate -d 'Writes a manual page, or completions for a shell' -r -f -a "man\t'A manual page'
bash\t'Completions for bash'
zsh\t'Completions for zsh'
fish\t'Completions for fish'"
complete -c greet-load -l serve -d 'Be the server that this program starts for itself' -r -f -a "line\t''
silence\t''"
complete -c greet-load -l no-pin -d 'Do not keep the generator and its own server on a core each'
complete -c greet-load -s q -l quiet -d 'No live view, even on a terminal'
complete -c greet-load -s h -l help -d 'Print help'
complete -c greet-load -s V -l version -d 'Print version'

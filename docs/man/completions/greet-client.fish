complete -c greet-client -l name -d 'A name to send; may be given again. After the last one comes `exit`' -r
complete -c greet-client -l framing -d 'How a name ends on the wire' -r -f -a "auto\t'`silence` if standard input is a terminal, else `line`'
line\t'A newline follows each name'
silence\t'Nothing follows: the name ends when no more bytes come (the tutorial\'s bytes)'"
complete -c greet-client -l timeout -d 'How long to wait for the connection, and then for each answer (250ms, 10s, 1m)' -r
complete -c greet-client -l tls-ca -d 'Certificates of the authorities to trust, as a PEM file, instead of those of the system' -r -F
complete -c greet-client -l tls-name -d 'The name in the server\'s certificate, if it is not the host' -r
complete -c greet-client -l generate -d 'Writes a manual page, or completions for a shell' -r -f -a "man\t'A manual page'
bash\t'Completions for bash'
zsh\t'Completions for zsh'
fish\t'Completions for fish'"
complete -c greet-client -l tls -d 'Talks over TLS. Needs a build with the feature `tls`'
complete -c greet-client -s v -l verbose -d 'Logs each address that is tried to standard error'
complete -c greet-client -s h -l help -d 'Print help (see more with \'--help\')'
complete -c greet-client -s V -l version -d 'Print version'

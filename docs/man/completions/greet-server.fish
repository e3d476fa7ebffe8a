complete -c greet-server -l listen -d 'Address to listen on: HOST:PORT, HOST PORT, :PORT, PORT or HOST. May be given several times, or several with commas. Port 0 means any free one. fd://NAME takes the sockets of this name that a service manager passes (LISTEN_FDNAMES)' -r
complete -c greet-server -l framing -d 'How a name ends: at a line feed, after a silence, or whichever comes first' -r -f -a "auto\t''
line\t''
silence\t''"
complete -c greet-server -l quiet-gap -d 'How long a peer must be quiet for its bytes to be a name' -r
complete -c greet-server -l max-connections -d 'Connections served at once. Default: as many as the limit on file descriptors allows' -r
complete -c greet-server -l max-per-ip -d 'Connections served at once from one address (IPv6: from one /64). Default: no limit' -r
complete -c greet-server -l when-full -d 'How to handle new connections when the server is full' -r -f -a "refuse\t'Report that the server is full, and close'
queue\t'Leave them in the backlog until a connection ends'"
complete -c greet-server -l name-timeout -d 'How long a peer may take to give a whole name' -r
complete -c greet-server -l write-timeout -d 'How long a peer may take to read its replies' -r
complete -c greet-server -l drain -d 'How long the connections have to finish when the server is stopped' -r
complete -c greet-server -l grace -d 'How long the server goes on accepting when it is stopped, before the connections have to finish: until load balancers have noticed that it is not ready any more' -r
complete -c greet-server -l successor-timeout -d 'How long a successor, started by SIGUSR2, has to be ready' -r
complete -c greet-server -l backlog -d 'Connections that may wait in the kernel to be accepted' -r
complete -c greet-server -l admin -d 'Address for operators, with health checks and metrics over HTTP: the path of a Unix-domain socket, or an address or fd://NAME like those of --listen. Default: none' -r
complete -c greet-server -l agent -d 'Address for the agent checks of HAProxy, whose servers then need `weight 100`. Default: none' -r
complete -c greet-server -l warn-turn -d 'Log turns of the loop that take longer. Default: 100ms with --admin, otherwise off' -r
complete -c greet-server -l tls-cert -d 'Encrypts the connections with TLS: the certificate chain, as a PEM file. Needs a build with the feature `tls`' -r -F
complete -c greet-server -l tls-key -d 'The private key of the certificate, as a PEM file' -r -F
complete -c greet-server -l log-level -d 'Least level that is logged' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c greet-server -l log-format -d 'Format of the log' -r -f -a "text\t'A time, a level, a module, a message and its fields as key=value'
json\t'One JSON object a line'"
complete -c greet-server -l config -d 'Read options from a file: `option = value` on each line, without dashes. The command line and the environment precede it' -r -F
complete -c greet-server -l proxy-protocol -d 'Expect the PROXY protocol\'s header before each conversation, and take the client\'s address from it: v1, v2 or any. A connection without it is closed. Needs --proxy-from' -r
complete -c greet-server -l proxy-from -d 'Networks of the proxies that may send the header, like 10.0.0.0/8, or unix. May be given several times, or several with commas. Connections from elsewhere are closed' -r
complete -c greet-server -l generate -d 'Writes a manual page, or completions for a shell' -r -f -a "man\t'A manual page'
bash\t'Completions for bash'
zsh\t'Completions for zsh'
fish\t'Completions for fish'"
complete -c greet-server -l reuse-port -d 'Let several processes listen on one port; the kernel spreads the connections'
complete -c greet-server -l check-config -d 'Check the options and the configuration file, and exit'
complete -c greet-server -s h -l help -d 'Print help (see more with \'--help\')'
complete -c greet-server -s V -l version -d 'Print version'

# Completion for bash: commands and their options, files where a configuration is meant, and paths of
# znodes, which are asked for at the server that the line names.

# The words of `ls PARENT` at the servers of the line, as paths; nothing if there is no answer.
_moonkeeper_paths() {
    local prefix=$1 parent servers=() i
    parent=${prefix%/*}
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -s || ${COMP_WORDS[i]} == --servers ]]; then
            # Colons are words of their own unless COMP_WORDBREAKS says otherwise.
            servers=(-s "$(_moonkeeper_joined $((i + 1)))")
        fi
    done
    moonkeeper "${servers[@]}" --timeout 1s ls "${parent:-/}" 2>/dev/null | sed "s|^|$parent/|"
}

# The words from $1 on for as long as they belong together: host : port , host : port
_moonkeeper_joined() {
    local i=$1 text=${COMP_WORDS[$1]}
    while [[ ${COMP_WORDS[i + 1]} == : ]]; do
        text+=:${COMP_WORDS[i + 2]}
        ((i += 2))
    done
    printf '%s' "$text"
}

# The index of the command among the words; 0: there is none yet.
_moonkeeper_command() {
    local i=1
    while ((i < COMP_CWORD)); do
        case ${COMP_WORDS[i]} in
        -s | --servers | --timeout | --auth | --tls-ca | --tls-cert | --tls-key)
            ((i += 2))
            while [[ ${COMP_WORDS[i]} == : ]]; do ((i += 2)); done
            ;;
        -*) ((i += 1)) ;;
        *) printf '%d' "$i" && return ;;
        esac
    done
    printf 0
}

_moonkeeper() {
    local word=${COMP_WORDS[COMP_CWORD]} command index words="" line
    local commands="create get set delete ls stat exists sync call calls lock lead recipe word shell start start-foreground
        stop restart status print-cmd repair backup restore import export version help"
    index=$(_moonkeeper_command)
    command=${COMP_WORDS[index]}
    COMPREPLY=()
    if ((index == 0)); then
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        --tls-ca | --tls-cert | --tls-key) COMPREPLY=($(compgen -f -- "$word")) && return ;;
        -s | --servers | --timeout | --auth | :) return ;;
        esac
        words="$commands -s --servers --timeout --auth --tls-ca --tls-cert --tls-key --json --help --version"
    else
        case $command:$word in
        create:-*) words="-e -s -c --hold" ;;
        set:-* | delete:-*) words="-v" ;;
        call:-*) words="--hold --timeout --dry-run --linearizable" ;;
        calls:*)
            if ((COMP_CWORD == index + 1)); then words="open close"; fi
            ;;&
        lock:-*) words="--timeout --grace" ;;
        lead:-*) words="--value --timeout --grace" ;;
        shell:-*) words="-server -timeout -r -waitforconnection --json" ;;
        start:-* | stop:-* | restart:-* | backup:-*) words="--wait" ;;
        repair:-*) words="--rejoin" ;;
        import:-*) words="--log-from --log-to" ;;
        export:-*) words="--log-from" ;;
        recipe:-*) words="--seeds --seed --minutes --steps --servers --invariants --name --expect --comment --fail-waiting" ;;
        recipe:*)
            if ((COMP_CWORD == index + 1)); then
                words="test explore check describe deploy rollback remove upgrade list show history"
            else
                while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word")
                return
            fi
            ;;
        help:*) words=$commands ;;
        word:*) words="ruok srvr stat mntr isro conf" ;;
        start:* | start-foreground:* | stop:* | restart:* | status:* | print-cmd:* | repair:* | import:* | export:*)
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word")
            return
            ;;
        *:/*)
            while IFS= read -r line; do
                if [[ $line == "$word"* ]]; then COMPREPLY+=("$(printf '%q' "$line")"); fi
            done < <(_moonkeeper_paths "$word")
            compopt -o nospace 2>/dev/null
            return
            ;;
        esac
    fi
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -W "$words" -- "$word")
}

complete -F _moonkeeper moonkeeper

%% The part of the peers of bench/xmpp.py, played by escalus: see escalus_peer.py, which starts it.
%%
%% A process for each user, as in amoc's Erlang original, calls escalus_connection; escalus adds one for each
%% connection. What is sent and received goes the documented way, without a timer for each receive. The application
%% escalus is not started: a connection needs none of it.
-module(escalus_pingpong).
-export([main/1]).

-define(UNDER_WAY, 100).
-define(BODY, <<"a line of text as people write it to each other">>).

-record(game, {host, port, domain, prefix, first, users, messages, idle, gap, boss}).

%% HOST PORT DOMAIN PREFIX FIRST USERS MESSAGES IDLE_MS GAP_MS, as strings; prints one line of JSON and ends the node,
%% with code 1 and the reason on standard error if anything failed.
%% It ends, too, when its standard input does: whoever started it has gone.
main([Host, Port, Domain, Prefix | Numbers]) ->
    spawn(fun() -> eof = io:get_line(""), halt(1) end),
    {ok, Address} = inet:parse_address(Host),
    [First, Users, Messages, Idle, Gap] = [list_to_integer(N) || N <- Numbers],
    Game = #game{host = Address, port = list_to_integer(Port), domain = list_to_binary(Domain),
                 prefix = list_to_binary(Prefix), first = First, users = Users, messages = Messages,
                 idle = Idle, gap = Gap},
    {Boss, Monitor} = spawn_monitor(fun() -> play(Game#game{boss = self()}) end),
    receive
        {'DOWN', Monitor, process, Boss, normal} ->
            halt(0);
        {'DOWN', Monitor, process, Boss, Reason} ->
            io:format(standard_error, "escalus: ~p~n", [Reason]),
            halt(1)
    end.

play(#game{users = Users, messages = Messages, first = First} = Game) ->
    warm_up(Game),
    Empty = resident(),
    Start = cpu(),
    Ids = lists:seq(First, First + Users - 1),
    {Now, Later} = lists:split(min(?UNDER_WAY, Users), Ids),
    Begun = [log_in(Game, Id) || Id <- Now],
    Processes = Begun ++ admit(Game, Later, Users),
    LoggedIn = cpu(),
    timer:sleep(Game#game.idle),
    Full = resident(),
    Before = cpu(),
    Clock = erlang:monotonic_time(millisecond),
    [Process ! begin_now || Messages > 0, Process <- Processes],
    wait(finished, if Messages > 0 -> Users; true -> 0 end),
    io:format("{\"logins\": ~b, \"messages\": ~b, \"login_cpu\": ~.4f, \"message_cpu\": ~.4f, "
              "\"message_wall\": ~.3f, \"empty\": ~b, \"full\": ~b}~n",
              [Users, Users * Messages, LoggedIn - Start, cpu() - Before,
               (erlang:monotonic_time(millisecond) - Clock) / 1000, Empty, Full]).

%% A login and a logout first, so that neither the loading of code nor what it needs of memory counts as a user's.
warm_up(#game{first = First} = Game) ->
    Client = connect(Game, First),
    escalus_session:send_presence_available(Client),
    true = escalus_pred:is_presence(escalus_connection:receive_stanza(Client, #{timeout => infinity})),
    send(Client, Game#game.domain, 0),
    escalus_connection:stop(Client).

%% Start one more whenever somebody is ready, until all are; the processes that this started.
admit(_, [], Left) ->
    wait(ready, Left),
    [];
admit(Game, [Id | Later], Left) ->
    wait(ready, 1),
    [log_in(Game, Id) | admit(Game, Later, Left - 1)].

wait(_, 0) ->
    ok;
wait(What, Count) ->
    receive What -> wait(What, Count - 1) end.

log_in(Game, Id) ->
    spawn_link(fun() -> user(Game, Id) end).

user(#game{boss = Boss, prefix = Prefix, domain = Domain, first = First} = Game, Id) ->
    Client = connect(Game, Id),
    escalus_session:send_presence_available(Client),
    Role = case (Id - First) rem 2 of 0 -> first; 1 -> second end,
    Peer = name(Prefix, case Role of first -> Id + 1; second -> Id - 1 end),
    To = <<Peer/binary, "@", Domain/binary, "/res1">>,
    Boss ! ready,
    receive begin_now -> ok end,
    Role =:= first andalso send(Client, To, 0),
    answer(Game, Client, Role, To, 0).

connect(#game{prefix = Prefix, domain = Domain, host = Host, port = Port}, Id) ->
    {ok, Client, _} = escalus_connection:start([{username, name(Prefix, Id)},
                                                {password, name(<<"password_">>, Id)},
                                                {resource, <<"res1">>},
                                                {server, Domain},
                                                {host, Host},
                                                {port, Port}]),
    Client.

answer(#game{messages = Messages, gap = Gap, boss = Boss} = Game, Client, Role, To, Received) ->
    Stanza = escalus_connection:receive_stanza(Client, #{timeout => infinity}),
    case escalus_pred:is_message(Stanza) of
        true ->
            Number = Received + 1,
            Number =:= Messages andalso (Boss ! finished),
            if
                Number < Messages; Number =:= Messages, Role =:= second ->
                    Gap > 0 andalso timer:sleep(Gap),
                    send(Client, To, Number);
                true ->
                    ok
            end,
            answer(Game, Client, Role, To, Number);
        false ->
            answer(Game, Client, Role, To, Received)
    end.

send(Client, To, Number) ->
    Message = escalus_stanza:chat_to(To, ?BODY),
    escalus_connection:send(Client, escalus_stanza:set_id(Message, integer_to_binary(Number))).

name(Prefix, Id) ->
    <<Prefix/binary, (integer_to_binary(Id))/binary>>.

%% Bytes.
resident() ->
    {ok, Sizes} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Sizes, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.

%% Seconds, user and system, of all threads.
cpu() ->
    {ok, Stat} = file:read_file("/proc/self/stat"),
    [_, AfterName] = binary:split(Stat, <<") ">>),
    Fields = binary:split(AfterName, <<" ">>, [global]),
    (binary_to_integer(lists:nth(12, Fields)) + binary_to_integer(lists:nth(13, Fields))) / 100.

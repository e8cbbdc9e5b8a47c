%% Counts what crosses ejabberd's client connections and serves it as JSON: /counts, /sessions, /accounts.
%% The names of the counts are explained in base.py (Counts).
-module(mod_amoc_counter).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_doc/0]).
-export([process/2]).
-export([opened/3, closed/3, received/3, sent/3]).

-include_lib("ejabberd/include/ejabberd_http.hrl").

-define(NAMES, [opened, closed, messages_in, messages_out, errors_in, errors_out]).

start(Host, _Options) ->
    case persistent_term:get(?MODULE, none) of
        none -> persistent_term:put(?MODULE, counters:new(length(?NAMES), [write_concurrency]));
        _ -> ok
    end,
    lists:foreach(fun({Hook, Function}) -> ejabberd_hooks:add(Hook, Host, ?MODULE, Function, 50) end, hooks()).

stop(Host) ->
    lists:foreach(fun({Hook, Function}) -> ejabberd_hooks:delete(Hook, Host, ?MODULE, Function, 50) end, hooks()).

hooks() ->
    [{sm_register_connection_hook, opened}, {sm_remove_connection_hook, closed},
     {c2s_handle_recv, received}, {c2s_handle_send, sent}].

reload(_Host, _New, _Old) -> ok.
depends(_Host, _Options) -> [].
mod_options(_Host) -> [].
mod_doc() -> #{}.

opened(_SID, _JID, _Info) -> count(1).
closed(_SID, _JID, _Info) -> count(2).

received(State, _Element, Packet) ->
    count_message(Packet, 3),
    State.

%% A packet that could not be written has not reached the client.
sent(State, Packet, ok) ->
    count_message(Packet, 4),
    State;
sent(State, _Packet, _Error) ->
    State.

count_message(Packet, Place) when element(1, Packet) =:= message ->
    case xmpp:get_type(Packet) of
        error -> count(Place + 2);
        _ -> count(Place)
    end;
count_message(_Packet, _Place) ->
    ok.

count(Place) ->
    counters:add(persistent_term:get(?MODULE), Place, 1).

process([<<"counts">>], _Request) ->
    Counters = persistent_term:get(?MODULE),
    json({[{Name, counters:get(Counters, Place)} || {Place, Name} <- lists:enumerate(?NAMES)]});
process([<<"sessions">>], _Request) ->
    json([jid:encode(JID) || JID <- ejabberd_sm:dirty_get_sessions_list()]);
process([<<"accounts">>], #request{method = 'GET'}) ->
    json([jid:encode({User, Server, <<>>}) || {User, Server} <- ejabberd_auth:get_users(<<"scram.local">>)]);
%% One account a line: its bare JID, a space, its password. Answers with those that were refused.
process([<<"accounts">>], #request{method = 'POST', data = Data}) ->
    Lines = binary:split(Data, <<"\n">>, [global, trim_all]),
    json([Line || Line <- Lines, not register(Line)]).

register(Line) ->
    [JID, Password] = binary:split(Line, <<" ">>),
    {User, Server, _} = jid:tolower(jid:decode(JID)),
    ejabberd_auth:try_register(User, Server, Password) =:= ok.

json(Term) ->
    {200, [{<<"Content-Type">>, <<"application/json">>}], jiffy:encode(Term)}.
